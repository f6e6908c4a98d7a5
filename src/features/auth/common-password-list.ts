/**
 * Common passwords of eight characters or more, in lower case. This is not a copy of a published list: it was written
 * down from general knowledge of what such lists have at their tops (walks over the keyboard, names, teams, pets,
 * brands, declarations of love, curses, each with the usual digits), in no exact order. `common-passwords.ts` adds the
 * patterns that can be computed.
 */
export const COMMON_PASSWORDS = `
password 12345678 123456789 1234567890 qwertyui qwertyuiop baseball football superman trustno1 sunshine jennifer
iloveyou starwars computer michelle 11111111 princess 87654321 corvette 1qaz2wsx mercedes victoria maverick passw0rd
password1 password2 password12 password123 password1234 password01 password! password1! p@ssword p@ssw0rd p@55w0rd
pa55word passwort motdepasse contrasena contraseña wachtwoord senha123 parola123 haslo123 letmein1 letmein123 welcome1
welcome12 welcome123 welcome1234 welcome2020 welcome2021 welcome2022 welcome2023 welcome2024 admin123 admin1234
admin12345 administrator administrador changeme changeme1 changeme123 default1 temppass temp1234 temporary guest123
guestguest rootroot root1234 toor1234 master123 masterkey mustang1 qwerty12 qwerty123 qwerty1234 qwerty12345
qwerty123456 qwertyui1 qwertz123 qwertzui qwertzuiop azertyui azertyuiop azerty123 asdfghjk asdfghjkl asdfasdf
asdf1234 asdfqwer qwerasdf zxcvbnm1 zxcvbnm123 zxcvasdf qazwsxedc qazwsx123 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y
1qaz2wsx3edc 1qazxsw2 2wsx3edc q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 zaq12wsx zaq1zaq1 zaq1xsw2 !qaz2wsx 1qaz@wsx qweasdzxc
qweasd123 qweqweqwe qwe123qwe 123qweasd 123qwe123 qwerty78 qwaszx12 poiuytre poiuytrewq lkjhgfds lkjhgfdsa mnbvcxza
mnbvcxz1 0987654321 098765432 987654321 9876543210 8765432187654321 1234567891 12345678910 123456789a 123456789q
12345678a 12345678q 1234567a 1234567q 123456aa 123456ab 123456abc 123456qwe 12345qwert 1234qwer 123abc123 abc12345
abc123456 abc123abc abcd1234 abcd12345 abcde123 abcde12345 abcdef12 abcdef123 abcdefg1 abcdefgh abcdefghi abcdefghij
a1b2c3d4 a1b2c3d4e5 a1234567 a12345678 a123456789 aa123456 aa12345678 aaa11111 aaaaaaaa aaaaaaaaaa q1234567 q12345678
q123456789 z1234567 w1234567 s1234567 x1234567 qq123456 ab123456 abc12321 11112222 11223344 1122334455 112233445566
12121212 12312312 123123123 123123123123 12341234 1234512345 123321123 123454321 12344321 123321321 123456654321
147258369 14725836 1472583690 159357159 159753456 159951159 159753159 741852963 789456123 7894561230 789789789
963852741 96385274 321321321 456456456 135792468 13579246 135791113 246813579 24681012 102030405 1020304050 10203040
10101010 11110000 00000000 000000000 0000000000 00001111 01010101 01234567 012345678 0123456789 01020304 01011980
01011990 01012000 01012001 01012010 22222222 33333333 44444444 55555555 66666666 77777777 88888888 99999999 111111111
1111111111 111222333 111222333444 1111111a 123698745 12369874 12365478 14789632 147896325 98765432 987654321a 99887766
69696969 19191919 13131313 20202020 21212121 23232323 25252525 31415926 314159265 3141592654 27182818 12qwaszx
1a2b3c4d 1a2b3c4d5e 1password 1234pass pass1234 pass12345 pass123456 passpass password99 password11 password10
password13 password21 password22 password23 password69 password77 password88 password007 password00 password02
password03 password3 password4 password5 password6 password7 password8 password9 passwords passwordd passwrod
mypassword thepassword yourpassword nopassword newpassword oldpassword mypassword1 mypass123 mypass12 secret12
secret123 topsecret verysecret mysecret secretpassword ilovegod iloveme1 iloveyou1 iloveyou2 iloveyou3 iloveyou12
iloveyou123 iloveyou! iloveyou7 iloveyou22 iloveyou13 iloveu12 iloveu123 ilovehim ilovehim1 iloveher iloveme2 ilovemom
ilovemymom ilovedad iloveyous iloveyouso iloveyoubaby loveyou1 loveyou2 loveyou123 lovelove lovelove1 loveme12
loveme123 loveable lovebug1 lovers12 lovergirl loverboy loverboy1 lovehurts truelove truelove1 mylove12 mylove123
babylove lovebaby babygirl babygirl1 babygirl2 babygirl12 babygirl13 babygirl123 babyboy1 babyboy12 babyboo1 babydoll
babydoll1 babycakes babyface baby1234 princess1 princess2 princess3 princess7 princess12 princess13 princess123
princesa princesa1 princesita princess! sunshine1 sunshine2 sunshine12 sunshine123 sunflower sunflower1 sunnyday
sunset12 sunrise1 football1 football2 football3 football7 football10 football11 football12 football13 football123
football21 football22 baseball1 baseball2 baseball12 baseball123 basketball basketball1 basketball12 softball
softball1 softball12 volleyball volleyball1 soccer12 soccer10 soccer11 soccer13 soccer123 soccerball hockey12
hockey123 handball rugby123 cricket1 cricket123 swimming swimming1 gymnast1 gymnastics wrestling wrestling1 dancer12
dancing1 cheerleader cheerleading cheer123 skateboard skater12 skater123 snowboard snowboarding surfing1 superman1
superman12 superman123 superman2 superstar superstar1 spiderman spiderman1 spiderman123 batman12 batman123 wolverine
wolverine1 ironman1 ironman123 avengers captain1 hulkhogan wonderwoman catwoman starwars1 starwars12 starwars123
startrek startrek1 enterprise lordoftherings gandalf1 frodo123 hobbiton legolas1 harrypotter harrypotter1 hogwarts
gryffindor hermione dumbledore voldemort slytherin twilight twilight1 vampire1 edward12 jacob123 bella123 pokemon1
pokemon12 pokemon123 pikachu1 pikachu123 charizard charizard1 digimon1 dragonball dragonball1 dragonballz naruto12
naruto123 sasuke12 onepiece minecraft minecraft1 minecraft123 fortnite roblox123 warcraft warcraft1 worldofwarcraft
starcraft starcraft1 counterstrike counter1 halflife halo1234 playstation playstation1 playstation3 nintendo nintendo1
nintendo64 gamecube xbox3600 finalfantasy kingdomhearts zelda123 callofduty battlefield assassin assassin1
leagueoflegends runescape runescape1 runescape123 simpsons simpsons1 southpark scoobydoo scoobydoo1 spongebob
spongebob1 spongebob12 spongebob2 sponge12 patrick1 patrick12 patrick123 tinkerbell tinkerbell1 tinkerbel snoopy12
snoopy123 garfield garfield1 mickeymouse mickey12 mickey123 minniemouse winnie12 winniethepooh poohbear poohbear1
hellokitty hellokitty1 hello123 hello1234 hello12345 hellohello helloworld helloworld1 helloyou hellothere whatever
whatever1 whatever2 whatever12 whatever123 nothing1 nothing123 something something1 everything anything forever1
forever2 forever21 forever12 forever123 together foreverlove nevermind nevermore always123 happy123 happy1234 happyday
happydays happiness happiness1 happyface happyfeet smile123 smiley12 smileyface laughter laughing friends1 friends2
friends12 friends123 friends4ever friendship bestfriend bestfriends bff4ever family12 family123 family01 mommy123
mother12 mother123 mamapapa daddy123 daddysgirl daddygirl father123 brother1 brothers sister12 sisters1 grandma1
grandpa1 children familia1 familia123 jesus123 jesus1234 jesus777 jesuschrist jesuslives jesussaves jesusislord
godisgood godislove ilovejesus blessed1 blessed123 blessing blessings faith123 christian christian1 christian12
christian123 christ12 christmas christmas1 heavenly angels12 angels123 angel123 angel1234 angel101 angelica angelina
angelito angelbaby angelface archangel michael1 michael2 michael3 michael7 michael12 michael123 michael23 michelle1
michelle12 michelle123 michelle2 michaela mitchell mitchell1 matthew1 matthew2 matthew12 matthew123 jessica1 jessica2
jessica12 jessica123 jennifer1 jennifer12 jennifer123 jonathan jonathan1 jonathan12 joshua12 joshua123 joseph12
joseph123 jordan12 jordan123 jordan23 jordan01 jordan11 justin12 justin123 justinbieber jasmine1 jasmine12 jasmine123
daniel12 daniel123 danielle danielle1 danielle12 daniela1 dominic1 dominique dominique1 david123 david1234 davidson
andrew12 andrew123 anthony1 anthony2 anthony12 anthony123 antonio1 antonio123 alexander alexander1 alexander12
alexander123 alexandra alexandra1 alexandre alexandria alejandra alejandro alejandro1 alex1234 alexis12 alexis123
amanda12 amanda123 ashley12 ashley123 ashley11 ashleigh ashton12 austin12 austin123 austin316 benjamin benjamin1
benjamin12 brandon1 brandon2 brandon12 brandon123 brandon7 brittany brittany1 brittany12 brittney bradley1 brendan1
cameron1 cameron12 cameron123 carlos123 carolina carolina1 caroline caroline1 catherine catherine1 charles1 charles123
charlie1 charlie2 charlie12 charlie123 charlotte charlotte1 chelsea1 chelsea12 chelsea123 chelseafc chris123 chris1234
christina christina1 christine christine1 christopher christopher1 christie christy1 claudia1 courtney courtney1
courtney12 crystal1 crystal12 cynthia1 deborah1 derrick1 diamond1 diamond2 diamond12 diamond123 diamonds dolphin1
dolphin12 dolphin123 dolphins dolphins1 edward123 eduardo1 elizabeth elizabeth1 elizabeth12 elizabeth2 emmanuel
emmanuel1 esmeralda estrella estrella1 fernanda fernanda1 fernando fernando1 florence francesca francis1 francisco
francisco1 frankie1 frederic freddie1 gabriel1 gabriel12 gabriel123 gabriela gabriela1 gabriella gabrielle gabrielle1
geraldine gerrard8 gilbert1 gonzalez gregory1 guadalupe guillermo gustavo1 hannah12 hannah123 heather1 heather12
isabella isabella1 isabelle jackson1 jackson5 jackson12 jackson123 jacqueline jacob1234 jamaica1 james123 james1234
jamesbond jamesbond007 jason123 javier12 jeffrey1 jeremiah jeremy12 jeremy123 johncena johncena1 johnny12 johnny123
johnson1 johnston jonathon josephine juancarlos juanita1 julian12 juliana1 juliette kathleen kathryn1 katherine
katherine1 katrina1 kayla123 kenneth1 kimberly kimberly1 kimberley kristen1 kristina kristina1 kristine lauren12
lauren123 lawrence lawrence1 leonardo leonardo1 lindsay1 lindsey1 lorraine louise12 luis1234 madison1 madison12
madison123 madeline manchester manchester1 manuel12 marcus12 margaret margaret1 margarita mariana1 mariposa mariposa1
marissa1 martin12 martin123 martinez maryjane maryjane1 maxwell1 melanie1 melissa1 melissa12 melissa123 mercedes1
miguel12 miranda1 monica12 monique1 montana1 morgan12 morgan123 natalie1 natalie12 natasha1 nathan12 nathan123
nathaniel nicholas nicholas1 nicholas12 nichole1 nicole12 nicole123 nicole11 olivia12 olivia123 pamela12 patricia
patricia1 patrick7 phillip1 phillips precious precious1 precious12 priscilla rachel12 rachel123 rebecca1 rebecca12
rebecca123 ricardo1 richard1 richard12 richard123 robert12 robert123 roberto1 robinson rodrigo1 rodriguez rosemary
russell1 sabrina1 samantha samantha1 samantha12 samantha123 samuel12 samuel123 sanchez1 sandra12 santiago santiago1
savannah savannah1 scarlett sebastian sebastian1 shannon1 shannon12 sharon12 shelby12 shirley1 sophia12 sophie12
sophie123 spencer1 spencer12 stephanie stephanie1 stephanie12 stephen1 stephen12 steven12 steven123 stewart1 summer12
summer01 summer06 summer07 summer08 summer09 summer10 summer11 summer123 summertime sweetheart sweetheart1 sweetie1
sweetie12 sweetness sweetpea sweetpea1 tamara12 taylor12 taylor123 taylor13 terrence teresa12 thomas12 thomas123
tiffany1 tiffany12 tigger12 tigger123 timothy1 timothy12 timothy123 trevor12 tristan1 tyler123 tyler1234 valentina
valentine valentino valentin vanessa1 vanessa12 vanessa123 veronica veronica1 victoria1 victoria12 victoria2 vincent1
virginia virginia1 vladimir wallace1 walter12 wesley12 whitney1 wilfred1 william1 william2 william12 william123
williams williams1 winston1 xavier12 yolanda1 yvonne12 zachary1 zachary12 zachary123 abigail1 abigail12 adriana1
adrian12 adrian123 alberto1 alfredo1 alfonso1 alicia12 allison1 allison12 american american1 america1 america10
america123 anderson anderson1 andrea12 andrea123 andreas1 anastasia anthony7 apples12 apple123 applepie applesauce
april123 aquarius arsenal1 arsenal12 arsenal123 arsenal14 asdfjkl; aspirine asshole1 asshole2 asshole123 atlantis
atlanta1 atletico australia autumn12 babyblue bailey12 bailey123 ballerina bananas1 banana12 banana123 barcelona
barcelona1 barney12 baxter12 beautiful beautiful1 beautiful12 beautiful2 beckham7 beckham23 because1 bernard1 bethany1
bettyboop bigdaddy bigdaddy1 bigmoney birthday birthday1 bismarck bitchass blackcat blackie1 blackjack blackjack1
blackbird blackberry blackdog blackhawk blackman blackops blackrose blackstar blink182 blizzard blondie1 bluebell
blueberry bluebird bluebird1 bluedog1 blueeyes blueeyes1 bluemoon bluesky1 bluestar bobmarley boobies1 boogers1
booger12 boomer12 boricua1 boston12 bowling1 bradford brazil10 broncos1 broncos7 brooklyn brooklyn1 brownie1 brownies
browneyes bubbles1 bubbles2 bubbles12 bubbles123 bubblegum bubblegum1 bubba123 buddy123 buddy1234 buddyboy bulldog1
bulldogs bulldogs1 bullshit bullshit1 butterfly butterfly1 butterfly2 butterfly12 butterfly7 buttercup buttercup1
butthead buttercream cadillac california california1 calvin12 camaro69 campbell cancer12 candy123 candyman cannabis
capricorn cardinal cardinals caramelo carebear carmen12 cartman1 casanova casper12 catdog12 catholic celtic1888
celticfc celtics1 champion champion1 champions chandler charming cheese12 cheese123 cheesecake cheetah1 cherokee
cherries cherry12 chester1 chester12 chevelle chevrolet chevy123 chicago1 chicago12 chicken1 chicken2 chicken12
chicken123 chickens chihuahua chinchin chinatown chloe123 chocolate chocolate1 chocolate12 chocolate123 chocolate2
chopper1 cigarette cinderella cinnamon cinnamon1 clarence classof08 classof09 cleopatra clifford clippers cocacola
cocacola1 coconut1 coffee12 coldplay colombia colombia1 colorado columbia comeback computer1 computer12 computer123
consuelo cookie12 cookie123 cookies1 cookies12 cooper12 cornelia corazon1 cowboys1 cowboys12 cowboys2 cowboys22
cowgirl1 crazy123 crazygirl creative cricket7 cristian cristina cristina1 cristiano cristo12 criminal crossfire
cuddles1 cupcake1 cupcake12 cupcake123 cupcakes daisy123 dakota12 dallas12 dallas22 dangerous darkness darkness1
darkangel darkstar darthvader death666 december december1 delfines delfin12 denise12 destiny1 destiny12 destiny123
deutschland diablo12 diablo666 dickhead dickhead1 discover disney12 disneyland doctorwho doggie12 dolphin7 domenico
dominion donald12 doraemon dragon12 dragon123 dragon01 dragon69 dragonfly dragonfly1 dragons1 dreamer1 dreamers
dreaming dreamcatcher drowssap dropdead ducati916 earthquake eastside eclipse1 einstein electric electronic elephant
elephant1 elephants eleven11 eminem12 eminem123 emerald1 england1 england66 engineer escorpion españa12 everlast
everton1 everton123 excalibur explorer exchange external extreme1 facebook facebook1 facebook123 fantasia fantasy1
fatboy12 february february14 ferrari1 ferrari12 ferrari360 ferrari430 fireball firebird firefire firefighter fireman1
fishing1 flamengo flamingo flower12 flower123 flowers1 flowers12 fluffy12 fluffy123 forget12 forgetit fountain
franklin franklin1 freedom1 freedom12 freedom123 freedom2 freebird friday13 freckles fuckoff1 fuckyou1 fuckyou2
fuckyou12 fuckyou123 fuckyou69 fuckyou! fuckyou666 fuckthis fucklove fucklove1 fuckfuck fuckface fuckingshit gameover
gangster gangster1 gangsta1 garcia12 gateway1 gemini12 generals general1 georgia1 george12 george123 georgina gerardo1
german12 ghetto12 giants12 giovanni giovanni1 girlfriend goddess1 godfather godzilla godzilla1 golden12 goldfish
goldfish1 goodbye1 goodluck goodgirl goodlife goodmorning goodtimes google12 google123 googling gorgeous gorgeous1
gotohell grandson grateful greenday greenday1 greenday12 greenday123 greendog greentea gregorio greatness guardian
guinness guitar12 guitar123 guitarra gunners1 hallo123 halloween halloween1 hamburger hamster1 handsome handsome1
hannah11 happy2be hardcore hardcore1 harley12 harley123 harley01 harrison harrison1 hawaii50 hawaiian hawkeye1
heaven12 heavenly1 hello111 hercules hermosa1 highland highlander highschool hogwarts1 holiday1 homework honda123
honey123 honeybee honeybun honeybunny honolulu hooligan hooters1 horizon1 horses12 horses123 hotmail1 hotmail123
hotmama1 hotstuff hotstuff1 hottie12 hottie123 hottie01 houston1 hummer12 hunter12 hunter123 hunter01 hunting1
hurricane hurricanes iceberg1 icecream icecream1 icecream12 idontknow idontcare iforgot1 ilikepie ilovechris ilovedogs
ilovecats ilovejames ilovejohn ilovemike ilovemusic ilovemyself ilovesex iloveyou4 iloveyou5 iloveyou8 iloveyou9
iloveyou11 iloveyou14 iloveyou69 imagine1 imissyou imissyou1 imthebest independent infantry infinity infinity1
inlove12 insanity internet internet1 internet123 intrepid invisible irishman isabel12 iverson3 jackass1 jackass2
jackie12 jackpot1 jaguar12 jamaica2 january1 january12 jayhawks jellybean jellybean1 jermaine joanna12 johndeere
johndeere1 jordan45 journey1 julie123 junior12 junior123 juniper1 juventus juventus1 karate12 kawasaki kelly123
killer12 killer123 killers1 kingkong kingking kingston kitty123 kittycat kittycat1 kittykat kitten12 knicks33 knight12
knights1 kobe2408 kobebryant kristian krypton1 lacrosse lacrosse1 ladybug1 ladybug12 ladybugs lakers12 lakers24
lakers123 lalalala lalala123 landrover lasvegas lavender legacy12 legend12 legends1 legolas12 lemonade leopard1
leonidas letmein2 letmein12 letmein! liberty1 lightning limewire linkinpark linkinpark1 liverpool liverpool1
liverpool12 liverpool123 liverpool8 livestrong lollipop lollipop1 lollypop london12 london123 lonestar lonewolf
longhorn longhorns loser123 losangeles lovelife lovely12 lovely123 loveless lovemylife lovesex1 loveyou4ever lowrider
lucky123 lucky777 lucky1234 luckydog luckystar madonna1 magic123 magicman mahalkita mahalko1 mahalkoh mallorca
malaysia malcolm1 mamacita maradona marathon marine12 marines1 marijuana marlboro marlboro1 married1 marshall
marshall1 maryland matrix12 matrix123 maverick1 mcdonald mcdonalds meathead medicine megadeth megaman1 member12
memories memphis1 mercury1 merlin12 mermaid1 metallica metallica1 mexicano mexico12 mexico123 midnight midnight1
milkshake millenium millions milwaukee miracle1 misiaczek mississippi mistress mittens1 mitsubishi mobile12 mohammad
mohammed monalisa monday12 money123 money1234 moneyman moneymoney moneymaker monkey12 monkey13 monkey123 monkey01
monkey11 monkey22 monkey69 monkey1234 monkeys1 monkeyboy monkeyman monopoly monster1 monster12 monster123 monsters
montreal moonlight moonlight1 moonbeam moonshine morrison mortgage mother01 motherfucker motocross motocross1 motorola
motorola1 mountain mountain1 mountains mozart12 muffin12 muffin123 multimedia murphy12 music123 musiclover musicman
mustang2 mustang12 mustang65 mustang66 mustang67 mustang69 mustangs myfamily myfriends mygirl12 mylife123 myspace1
myspace2 myspace12 myspace123 myspace! mystery1 narnia12 nascar24 nascar48 nascar88 national navyblue nebraska
newcastle newcastle1 newport1 newyork1 newyork12 newyork123 newyorkcity nicaragua nickolas nightmare nightmare1
nightwish nirvana1 nirvana12 nokia123 nokia5800 nokian70 normandy november november1 number12 october1 october12
octopus1 offspring oklahoma oliver12 oliver123 olympics orange12 orange123 orchid12 original orlando1 outkast1
outlaw12 overlord packers1 packers4 pakistan pakistan1 palestine paloma12 panasonic pancakes panda123 pandabear
pandora1 panthers panthers1 panther1 paradise paradise1 paramore paramore1 parker12 passion1 passport pasword1
pass1word patriots patriots1 patriots12 peaches1 peaches12 peanut12 peanut123 peanuts1 pebbles1 peekaboo pegasus1
penguin1 penguin12 penguins peppermint pepper12 pepper123 perfect1 personal peterpan peterpan1 phantom1 philadelphia
philippines philips1 phoenix1 phoenix12 photoshop pianoman picasso1 pickles1 pickles12 pimpin12 pineapple pineapple1
pink1234 pinkfloyd pinkfloyd1 pinkgirl pinklady pinkpink pinkpanther pinky123 pirates1 pisces12 pitbull1 platinum
platinum1 playboy1 playboy12 playboy69 playboy123 player12 player123 please12 pleasure poohbear12 poopface poophead
poopoo12 popcorn1 popcorn12 popcorn123 popeye12 popstar1 popopopo porsche1 porsche9 porsche911 portugal portugal1
postman1 potatoes powder12 power123 powerful powerman precious2 prelude1 presario presidente pretty12 prettygirl
prettyboy prince12 prince123 princeton prissy12 private1 professor property prophecy protocol provider pumpkin1
pumpkin12 pumpkin123 punkrock punkrock1 puppies1 puppy123 puppylove purple12 purple123 purple11 purple13 purple01
purplerain pussy123 pussycat pussycat1 qawsedrf qwertasd qwerfdsa quality1 queen123 rabbit12 racecar1 rachelle
raiders1 raiders12 raiders13 rainbow1 rainbow2 rainbow12 rainbow123 rainbow7 rainbows rainyday ranger12 ranger123
rangers1 raptor12 rasputin raymond1 realmadrid realmadrid1 redalert redneck1 redskins redskins1 redsox12 redsox04
regional reggae12 reginald remember remember1 republic resident respect1 revolution rhiannon rhythm12 rightnow
riverside roadkill roadrunner robocop1 rockstar rockstar1 rockstar12 rockstar123 rocknroll rocky123 rockyou1 rocketman
rocketmail rolltide romania1 romantic ronaldinho ronaldo1 ronaldo7 ronaldo9 ronaldo99 rooney10 roosters rosebud1
rotterdam russia12 rush2112 saibaba1 sailormoon sailing1 sailboat sairam123 salvador samsung1 samsung12 samsung123
sanfrancisco sandiego sandman1 sapphire sapphire1 saturday saturn12 scarface scarface1 schalke04 schedule school12
school123 scooby12 scooter1 scooter12 scooter2 scorpio1 scorpion scorpion1 scotland scotland1 scrapper scrappy1
seahawks seahorse seattle1 security security1 september september1 september11 serenity serenity1 services sexybabe
sexybaby sexybeast sexybitch sexybitch1 sexyback sexygirl sexygirl1 sexylady sexylady1 sexymama sexymama1 sexyman1
sexy1234 sexy6969 shadow12 shadow123 shadow01 shadow11 shadows1 shalom12 shamrock sharky12 shasta12 sheridan sherlock
shithead shithead1 shopping shortcake shorty12 shorty123 showtime siemens1 sierra12 silver12 silver123 simpson1
simple12 sinclair singapore singapore1 single12 skippy12 skittles skittles1 skywalker skywalker1 slapshot slayer12
slayer666 slimshady slipknot slipknot1 slipknot6 slipknot666 slipknot12 smackdown smarties smooth12 snickers snickers1
snowball snowball1 snowflake snowflake1 snowman1 sniper12 snoopdog snoopdogg snuggles softtail soldier1 solitude
somebody sometimes somethin soulmate southside southside1 spaceman spanky12 sparkle1 sparkles sparky12 sparky123
special1 specialk spectrum speedway spider12 spider123 spiderma spiderman12 spiderman2 spiderman3 spirit12 spitfire
spitfire1 splinter sporting sportster springer springfield squirrel squirrel1 srilanka standard stanley1 starfish
starbucks starbuck stardust stargate stargate1 starlight start123 starwars2 steelers steelers1 steelers12 steelers7
stingray stinker1 stinky12 stockton stonecold strawberry strawberry1 strawberries strength stronger student1
student123 sublime1 success1 success123 sugar123 sugarbear suckmydick suckit12 sunday12 sunderland sunlight superior
superboy supercool supergirl superhero supersonic supernatural supernova superuser support1 surprise suzanne1 suzuki12
swordfish sweet123 sweet16! sweet1234 sweetangel sweetbaby sweetdreams sweetgirl sweetlove sweetone sweets12 swimmer1
switzerland sylvester symphony system12 teacher1 teamo123 teamobebe teamomucho techno12 technology teddybear
teddybear1 teenager telefon1 telephone tennis12 tennis123 tennessee teresita test1234 test12345 test123456 testing1
testing12 testing123 testtest texas123 texaslonghorns thailand thankyou thankyou1 thebeast thebeatles thebest1
thedoctor theking1 themaster theman12 thematrix theresa1 theworld thirteen thirteen13 thuglife thumper1 thunder1
thunder12 thunder123 thunderbird thursday thx11380 tiger123 tiger1234 tigers12 tigers123 tigerwoods titanic1 titanium
together1 tokiohotel tomorrow tommy123 topnotch toronto1 tottenham tottenham1 touchdown toyota12 traveler treasure
treasure1 tricolor trinidad trinity1 triumph1 trombone troubles trouble1 trucker1 trumpet1 trustme1 trustn01
trustnoone tunafish turkey12 turtle12 turtle123 turtles1 tweety12 tweety123 tweetybird twinkle1 twister1 umbrella
umbrella1 undertaker underground underworld unicorn1 unicorn12 unicorns united12 universal universe university
unlimited usmarine valencia valerie1 vampires vanhalen vanilla1 vegitto1 venezuela viking12 vikings1 vikings84
violet12 vision12 vodafone volkswagen voodoo12 voyager1 walmart1 wanderer warhammer warhammer40k warlock1 warrior1
warriors warriors1 washington water123 waterfall waterloo watermelon watermelon1 waterpolo wazzup12 weather1 webmaster
wednesday weezer12 welcome2 welcomes werewolf westham1 westlife westlife1 westside westside1 whiskers white123
whiteboy whitesox wildcat1 wildcats wildcats1 wildfire wildlife williamson willow12 willie12 windows1 windows7
windows10 windows98 windsurf winner12 winner123 winners1 winnipeg winter12 winter123 winter99 wireless wishbone
wizard12 wolfgang wolfpack wonderful wonderful1 woodland woodstock working1 workshop worldcup wrangler wrestler
wrestlemania wwesmackdown yamaha12 yamahar1 yankees1 yankees2 yankees12 yankees13 yankees23 yellow12 yellow123
yesterday yogibear york1234 yourmama yourmom1 yourmom12 yourmom2 youtube1 youtube123 yugioh12 zeppelin zeppelin1
zidane10 zimbabwe zombie12 zxcvbnm12 zxcv1234 zzzzzzzz xxxxxxxx qqqqqqqq ssssssss access14 account1 acidburn activity
advanced aerosmith airborne airplane airforce aircraft akatsuki alabama1 albatros alcatraz aliens12 allstar1 alphabet
amadeus1 amateur1 amazing1 ambrosia amsterdam anaconda anakin12 analyst1 anarchy1 animal12 animals1 annabelle antelope
anything1 apocalypse apollo11 apollo13 appleseed aragorn1 arizona1 arkansas armageddon arthur12 aspirant assassins
asteroid astronaut astros12 athena12 audi1234 aurora12 autobahn avalanche avatar12 aventura babylon5 backspace
backspin badass12 badboy12 badboy123 badgirl1 balloons bambam12 bandit12 barbara1 barbie12 barbie123 baracuda basement
bastards bathroom batista1 beatles1 beatles4 beaver12 beethoven benfica1 benessere berkeley berliner beverley
biblioteca bigboy12 bigbrother bigcock1 bigdick1 biggles1 billabong billgates billiards billybob biohazard birdhouse
biscuit1 bitches1 biteme12 biteme69 blackhawks blackmetal blahblah blahblah1 blaster1 blessed7 blossom1 bluefish
bluenose bonehead bonjour1 bookworm boomboom bordeaux borussia bosco123 brasil10 bratislava breakdown brewster
bridget1 brigitte brighton bristol1 britney1 broadway broodwar brucelee bugsbunny bukowski bulldozer bullfrog
bumblebee burnout3 business businessman butterfl buttons1 cabernet calculator calendar callaway cambridge camelot1
cameltoe campanile canadian canadian1 candyass capitals capricor captain12 cardinal1 carlitos carnival carolina12
casablanca cassandra cassie12 castle12 cavalier centauri centurion challenge chanel12 changeit charlene checkers
cheerios chemical chemistry cherry123 chevalier chicago23 chihuahu chinese1 chiquita chivas10 chocobo1 chopper2
chris2000 cinnamon12 citation classic1 clemente clickhere climbing clinton1 cloclo12 clover12 clueless cocksucker
cocorico colleen1 college1 colombo1 colonial comanche commander commando communication community compaq12 complete
concrete condor12 confused connect1 consumer continue contract control1 converse cooldude coolcool coolguy1 coolness
copenhagen corleone cornwall coronado corvette1 cosworth counterstrike1 coventry crackers crackhead creation creature
crimson1 crocodile crusader crystals cucumber cupidon1 customer cyberpunk cyclones cyclops1 dagobert daemon12
dandelion daniel01 dauphine daytona1 deadhead deadpool deadspin deathnote december25 defender deftones delaware
delicious democracy demon666 depeche1 depechemode destination detroit1 developer deviant1 devil666 devildog diamante
dictionary digital1 dinosaur dinosaur1 director disaster discover1 discovery dispatch distance dodgers1 dogsrule
dominator donkey12 doomsday dortmund douglas1 downtown dragster dreamland dressage drifting drummer1 drumline dynamite
dynasty1 eagles12 eclipse99 edinburgh eintracht eldorado electro1 electron elevator emergency employee endurance
enforcer engage12 enigma12 entrance entropy1 eternal1 eternity ethernet evangelion evolution excellent explosion
exercise expedition experience extensa1 falcons7 fallen12 fantastic fatality felicity fernandes festival fidelity
fighter1 finance1 finland1 firehawk firestar fireworks firewall flanders fletcher florida1 flying12 folklore
football99 footjob1 fordf150 formula1 fortune1 fortytwo42 frances1 freeway1 freiheit french12 freshman frogger1
frontier fullmoon function funnyman funtimes gabber12 galatasaray galaxy12 galileo1 gangbang garbage1 gardener
garnet12 gasoline gauntlet gemstone generation geniusgy geography germany1 getmoney getsmart ghostrider gibraltar
gigabyte glasgow1 gladiator gladiator1 gloria12 goldberg goldeneye goldstar golfball golfer12 golfgolf gonzales
goodtime goofball gotmilk1 graduate graphics gravity1 graziella greatone greenbay greenman grendel1 griffin1 grizzly1
gryphon1 guerrero guitarist gunsnroses hacker12 hackerman hallowed hamilton hammer12 hannibal happyman harddrive
harmony1 harvard1 hastings hatebreed hawaii12 headache headshot heineken hellfire hellraiser helpless helpme12
hendrix1 heritage hershey1 hilfiger hillside hitman47 holland1 hollywood hollywood1 homepage homerun1 homersimpson
honduras honeydew hospital hotchick hotrod12 hurricane1 hyperion icehouse illinois illusion immortal impala67 imperial
india123 indiana1 indigo12 industry infinite inferno1 innocent insomnia instinct integra1 integral interact interior
invictus ireland1 ironmaiden ironmaiden1 isabelle1 island12 istanbul italia12 jackoff1 jackrabbit jackson7 january01
jasper12 jazzman1 jetaime1 jetaime2 jimihendrix jordan99 jupiter1 justdoit justforme justice1 kalamazoo kangaroo
kathmandu keepout1 kentucky keyboard keystone kickass1 kickflip killbill killjoy1 kingfish kingpin1 kissme12 kisskiss
kissmyass klondike knuckles labrador lamborghini lancaster lasalle1 lebron23 leicester lesbian1 leviathan libertad
lifehack lifestyle lightning1 lineage2 lionheart lionking littleman logitech1 lonely12 longbeach louisiana loveland
lovesick luciano1 lucifer1 lucifer666 luckyone macintosh madagascar madeleine magdalena magnolia mahalkoh1 majestic
makaveli management manager1 mandarin manhattan manowar1 marauder marcello marianne marigold marilyn1 marketing
marseille marvelous mastermind matchbox matrix01 maximus1 mayflower mazda626 mechanic medical1 melbourne mellon12
melody12 menthol1 messenger metropolis miami305 microlab microsoft microsoft1 midnight12 millwall minotaur mischief
missouri mnemonic monarch1 monday01 monitor1 monolith morpheus mortalkombat moscow12 motorhead mushroom mushroom1
musician mustangs1 mutation mypasswd myspace7 mystical napoleon natalia1 natural1 navigator neptune1 netscape
nevermind1 newlife1 newworld nicotine nightfall nightowl nikita12 ninjas12 nomercy1 nonsense norwich1 nottingham
nounours notebook obsession occult666 october31 offshore olympia1 omega123 opendoor operator optimist optimus1
orange11 overkill overload oxford12 pacific1 painting palmtree pantera1 panzer12 paperclip parachute parallel
parliament partizan passcode passthru pavilion peaceful peachtree pearljam pelican1 pendragon penelope pentagon
pentium4 peregrine persephone peterson petunia1 phantom2 pharmacy philippe pickle12 pictures piedmont pimpdaddy
pinnacle pioneer1 pistache pleasant plymouth polaris1 policeman poland12 pollito1 polopolo pornstar pornhub1 positive
postcard predator predator1 premier1 president pressure primetime princess01 princess22 printing priority prodigy1
producer progress prometheus promises proverbs provence puertorico puppydog qwerty99 quantum1 quasimodo question
quicksilver rachmaninoff radiohead ragnarok rainbow6 ramstein rammstein rammstein1 rampage1 raspberry ratboy12
raven123 raymond2 reaper12 rebellion rebelde1 redbaron redbull1 reddevil redhead1 redhotchili redrose1 redwings1
redwings19 reflection regiment reindeer reloaded renegade renegade1 resource restaurant resurrection retired1 revolver
richmond rigoletto rockford rockport romance1 roosevelt rosalind rosebud2 roseline roulette rudeboy1 rugby123456
runaway1 sacramento sagittarius samsung2 samurai1 sanctuary sandrine sandstorm saskatoon satellite saturno1 sausages
saxophone scandinavia scheisse schumacher schatz123 schnecke schneider scissors scorpions scotty12 scrabble scramble
screamer seagate1 seagulls searching seashell secret01 selena12 seminole senator1 seraphim sergeant sexsexsex sexymofo
shakespeare shadowman shaolin1 sheffield shinobi1 shotgun1 shutdown siberian silencer silverado silverfox simone12
skeleton skinhead skorpion skydiver skyline1 skyline34 slamdunk slippery smashing smirnoff smokey12 smokeweed
smokin420 snowbird socrates software solomon1 something12 sonyericsson sophomore soulfly1 southern southpaw sparrow1
spartacus spartan1 spartan117 spartans speakers speed123 spiderweb spongebob123 squash12 stairway stallion stanford
starburst starcraft2 stardust1 starling starman1 starship station1 steelman stephane stephani sterling stigmata
stockholm stranger stratocaster strategy streamer strikers stripper studioworks submarine suburban sullivan summer69
summer99 sunnyboy sunshine7 superfly superman7 supervisor supra123 surveyor survivor svetlana swansea1 sweetiepie
syracuse tacobell tarheels tarheel1 tasmania taurus12 teiubesc telecaster telecom1 temple12 terminal terminator
terminator1 terrapin terrible thanatos thegreat theforce therapist thinking thisisit threesome thriller thumbs12
thunderb timberland timberwolf tinkerbell2 tomahawk tombstone tomcat12 toriamos toshiba1 touchme1 tracker1 training
transfer transformers transit1 treefrog trewq123 triangle tricolore triforce trigger1 triplets tropical trojan12
truckers truffles tsunami1 tuppence turbo911 twenty20 twinkies tyrannosaurus ultimate ultimate1 ultraman undefined
undertow unforgiven unicorn7 unleashed untitled upgrade1 valdepenas valhalla valkyrie vanguard vascodagama vegemite
vengeance verbatim verizon1 veronika versailles victory1 vietnam1 villanova viper123 visitor1 vittoria volcano1
volunteer wanderlust wareagle warcraft3 warranty washburn waterboy wellington westwood whatever7 whitetail whocares
whoknows wildcard wildrose wildthing windmill winston12 wisdom12 withlove wolfman1 wolverin wonderboy wonderland
wordpass workhard xavier123 xanadu12 xboxlive yamamoto yankee12 yellowstone yoshimitsu youknowit zachary7 zanzibar
zaragoza zebra123 zerocool zildjian zoosk123
`;
